package azblobdest

import (
	"context"
	"net/http"
	"strconv"
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
	// growAfter is after how many good answers, for each request at once, there is one more at once.
	growAfter = 4
	// Nothing is sent for a while after "slow down": as long as the service says, within bounds.
	shortPause, longPause = 500 * time.Millisecond, 15 * time.Second
)

// pace lets as many requests through at once as the service bears: after "slow down" none for a while, and then half as many;
// and one more after enough good answers. It is a policy of the client, which each try passes.
type pace struct {
	mu      sync.Mutex // guards everything below
	limit   int
	running int
	good    int       // answers since limit last changed
	slowed  time.Time // when it was last lowered
	until   time.Time // nothing is let through before
	resumes bool      // somebody sees to it that those who wait are let through after until
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
	pause := time.Duration(0)
	if slow {
		pause = pauseOf(resp)
	}
	p.leave(time.Now(), pause, err == nil && resp.StatusCode < http.StatusInternalServerError)
	return resp, err
}

// pauseOf is how long the service wants to be left alone.
func pauseOf(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		return shortPause
	}
	return min(max(time.Duration(seconds)*time.Second, shortPause), longPause)
}

func (p *pace) enter(ctx context.Context) error {
	p.mu.Lock()
	if p.running < p.limit && len(p.waiting) == 0 && !time.Now().Before(p.until) {
		p.running++
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.admit()
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

// leave counts an answer; pause is how long nothing is let through because of it.
func (p *pace) leave(now time.Time, pause time.Duration, good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	switch {
	case pause > 0:
		if now.Sub(p.slowed) >= oneFault {
			p.limit, p.slowed = max(p.limit/2, 1), now
		}
		p.good = 0
		if until := now.Add(pause); until.After(p.until) {
			p.until = until
		}
	case good:
		if p.good++; p.good >= growAfter*p.limit && p.limit < mostAtOnce {
			p.limit, p.good = p.limit+1, 0
		}
	}
	p.admit()
}

// admit lets those through for whom there is room. mu is held.
func (p *pace) admit() {
	if left := time.Until(p.until); left > 0 {
		if !p.resumes && len(p.waiting) > 0 {
			p.resumes = true
			time.AfterFunc(left, p.resume)
		}
		return
	}
	for len(p.waiting) > 0 && p.running < p.limit {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
		p.running++
	}
}

// resume goes on after a pause.
func (p *pace) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumes = false
	p.admit()
}
