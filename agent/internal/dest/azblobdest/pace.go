package azblobdest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// The pace: how many requests are on their way at once, over all handles of an opener.
const (
	mostAtOnce  = 32
	firstAtOnce = 16
	// oneFault is how long refusals count as one: what was on its way when the first came is refused too.
	oneFault = time.Second
)

// pace lets as many requests through at once as the service bears: half as many after "slow down", one more after as many
// good answers as there are requests at once. It is a policy of the client, which each try passes.
type pace struct {
	mu      sync.Mutex // guards everything below
	limit   int
	running int
	good    int       // answers since limit last changed
	slowed  time.Time // when it was last lowered
	waiting []chan struct{}
}

func newPace() *pace { return &pace{limit: firstAtOnce} }

// Do implements policy.Policy. A request counts until its answer begins: a body that is read slowly keeps nobody waiting.
func (p *pace) Do(req *policy.Request) (*http.Response, error) {
	if err := p.enter(req.Raw().Context()); err != nil {
		return nil, err
	}
	resp, err := req.Next()
	slow := err == nil && (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests)
	p.leave(time.Now(), slow, err == nil && resp.StatusCode < http.StatusInternalServerError)
	return resp, err
}

func (p *pace) enter(ctx context.Context) error {
	p.mu.Lock()
	if p.running < p.limit && len(p.waiting) == 0 {
		p.running++
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.waiting {
		if other == turn {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return context.Cause(ctx)
		}
	}
	p.running-- // its turn had come meanwhile
	p.admit()
	return context.Cause(ctx)
}

func (p *pace) leave(now time.Time, slow, good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	switch {
	case slow && now.Sub(p.slowed) >= oneFault:
		p.limit, p.good, p.slowed = max(p.limit/2, 1), 0, now
	case good && !slow:
		if p.good++; p.good >= p.limit && p.limit < mostAtOnce {
			p.limit, p.good = p.limit+1, 0
		}
	}
	p.admit()
}

// admit lets those through for whom there is room. mu is held.
func (p *pace) admit() {
	for len(p.waiting) > 0 && p.running < p.limit {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
		p.running++
	}
}
