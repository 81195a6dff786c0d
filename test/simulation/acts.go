package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/server/serversim"
)

// act is a kind of step.
type act struct {
	weight float64 // how often it comes, compared with the others
	fault  bool    // whether some schedules leave it out
	kind   string  // of a fault: those of one kind go together
	do     func(w *world, r int) error
}

// acts are all kinds of steps. What r means is each one's own affair.
var acts = map[string]act{
	"record":      {6, false, "", (*world).record},
	"tick":        {30, false, "", (*world).tick},
	"wake":        {8, false, "", (*world).wake},
	"extend":      {1, true, "people", (*world).extend},
	"replace":     {0.4, true, "replace", (*world).replace},
	"rekey":       {0.7, true, "people", (*world).rekey},
	"change":      {1.5, true, "source", (*world).change},
	"lose":        {0.7, true, "source", (*world).lose},
	"away":        {0.7, true, "source", (*world).away},
	"kill":        {5, true, "agent", (*world).kill},
	"kill-server": {3, true, "server", (*world).killServer},
	"offline":     {2, true, "line", (*world).offline},
	"mishap":      {9, true, "line", (*world).mishap},
	"mute":        {1, true, "line", (*world).mute},
	"mount":       {1.5, true, "mount", (*world).mount},
	"power":       {1.5, true, "power", (*world).power},
	"clock":       {1, true, "clock", (*world).clock},
	"copy":        {2, true, "store", (*world).copyStore},
	"back":        {1.2, true, "store", (*world).storeBack},
	"delete":      {0.6, true, "store", (*world).deleteStore},
	"copy-place":  {2, true, "place", (*world).copyPlace},
	"back-place":  {0.8, true, "place", (*world).placeBack},
	"harm":        {0.8, true, "harm", (*world).harm},
	"foreign":     {0.8, true, "harm", (*world).foreignFile},
	"clone":       {0.3, true, "clone", (*world).clone},
	"long":        {0.4, true, "long", (*world).long},
	"deaf":        {1, true, "line", (*world).deafen},
	"waive":       {1.5, true, "people", (*world).waive},
	"release":     {1, true, "people", (*world).release},
	"accept":      {0.8, true, "harm", (*world).accept},
	"retire":      {0.15, true, "retire", (*world).retire},
	"histories":   {0.4, true, "histories", (*world).histories},
	"copy-server": {2, true, "back", (*world).copyServer},
	"back-server": {0.8, true, "back", (*world).serverSetBack},
}

// actNames returns the names of all acts in a fixed order.
func actNames() []string { return slices.Sorted(maps.Keys(acts)) }

func (w *world) machine(r int) *machine         { return w.machines[r%len(w.machines)] }
func (w *world) destination(r int) *destination { return w.destinations[r%len(w.destinations)] }

// record adds recordings and lets the server seal them.
func (w *world) record(r int) error {
	w.source.Record(1 + r%4)
	w.server.Look()
	return nil
}

// tick lets time pass.
func (w *world) tick(r int) error {
	spans := []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second,
		30 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	time.Sleep(spans[r%len(spans)])
	synctest.Wait()
	return nil
}

// long lets so much time pass that the server closes for agents that it has not heard.
func (w *world) long(r int) error {
	time.Sleep(26 * time.Hour)
	return nil
}

func (w *world) wake(r int) error {
	w.machine(r).Wake()
	return nil
}

// extend is an operator's courtesy. What a server that recovers refuses is left to another step.
func (w *world) extend(r int) error {
	w.said(w.server.Extend(w.destination(r).origin))
	return nil
}

// rekey gives a log another server key. The key has to be in a backup before: copies without it are put back no more.
func (w *world) rekey(r int) error {
	w.serverCopies = nil
	w.said(w.server.Rekey(w.destination(r).origin))
	return nil
}

// replace lets another machine take the place of the agent that serves the first destination, where there is only one. The
// one that is replaced runs on.
func (w *world) replace(r int) error {
	machines, err := w.serving(w.destinations[0])
	if err != nil || len(w.destinations) > 1 || len(machines) == 0 || len(w.machines) > 3 {
		return err
	}
	if _, recovering, err := w.server.Alarms(w.destinations[0].origin); err != nil || recovering {
		return err
	}
	if retired, err := w.isRetired(w.destinations[0]); err != nil || retired {
		return err
	}
	name := fmt.Sprintf("%016x", len(w.machines))
	w.server.KillAt(0, false)
	err = w.addMachine(name, machines[0].name)
	if err == nil {
		w.replaced = true
	}
	w.said(err)
	return nil
}

// said takes down whether an operator's act was taken.
func (w *world) said(err error) {
	if err != nil {
		w.saw("refused acts")
	}
}

// change gives a recording other contents; the server may find that out by itself or when it serves it.
func (w *world) change(r int) error {
	w.source.Change(r / 2)
	if r%2 == 0 {
		w.server.Look()
	}
	return nil
}

func (w *world) lose(r int) error {
	w.source.Lose(r)
	return nil
}

func (w *world) away(r int) error {
	w.source.SetAway(r%2 == 0)
	return nil
}

// kill ends an agent's process at one of its next operations, which is still done or not.
func (w *world) kill(r int) error {
	w.machine(r/200).KillAt(1+r%100, r%2 == 0)
	if r%10 < 5 {
		w.machine(r).Wake()
		time.Sleep(time.Second)
	}
	return nil
}

// killServer ends the server's process at one of its next commits, which is still done or not.
func (w *world) killServer(r int) error {
	w.server.KillAt(1+r/4%12, r%2 == 0)
	if r%4 < 2 {
		w.server.Look()
	}
	return nil
}

func (w *world) offline(r int) error {
	w.machine(r / 2).link.setDown(r%2 == 0)
	return nil
}

// mishap lets something befall one of the next calls.
func (w *world) mishap(r int) error {
	delays := []time.Duration{100 * time.Millisecond, time.Second, 4 * time.Second, 40 * time.Second, 3 * time.Minute}
	w.machine(r).link.meet(mishap{kind: lostBefore + mishapKind(r%int(mishapKinds-1)), after: r / 5 % 6, delay: delays[r/30%len(delays)]})
	return nil
}

// mute loses all receipts of a machine for a while.
func (w *world) mute(r int) error {
	w.machine(r).link.mute([]time.Duration{10 * time.Second, 3 * time.Minute, 20 * time.Minute, 3 * time.Hour}[r/5%4])
	return nil
}

func (w *world) mount(r int) error {
	w.destination(r / 2).place.Mount(r%2 == 0)
	return nil
}

// power lets a share lose its power, and with it perhaps what was not durable.
func (w *world) power(r int) error {
	random := rand.New(rand.NewPCG(uint64(r), 1))
	w.destination(r).place.CutPower(func() bool { return random.IntN(2) == 0 })
	return nil
}

// clock sets a machine's clock wrong: by ten minutes, a year, or back.
func (w *world) clock(r int) error {
	w.machine(r).SetClock([]time.Duration{0, 10 * time.Minute, 365 * 24 * time.Hour, -10 * time.Minute, -3 * 365 * 24 * time.Hour}[r%5])
	return nil
}

func (w *world) copyStore(r int) error {
	m := w.machine(r)
	s, err := m.Snapshot()
	m.copies = append(m.copies, s)
	return err
}

// storeBack puts an older copy of a machine's store back.
func (w *world) storeBack(r int) error {
	m := w.machine(r)
	if len(m.copies) == 0 {
		return nil
	}
	if err := w.stop(m); err != nil {
		return err
	}
	return w.putBack(m, m.copies[r/3%len(m.copies)])
}

// putBack replaces a machine's store, on which nothing runs, by a copy.
func (w *world) putBack(m *machine, s *store.Snapshot) error {
	w.storesBack = true
	if err := m.Restore(s); err != nil {
		return err
	}
	return w.decidedBack(m)
}

func (w *world) deleteStore(r int) error {
	m := w.machine(r)
	if err := w.stop(m); err != nil {
		return err
	}
	return w.putBack(m, nil)
}

func (w *world) copyPlace(r int) error {
	d := w.destination(r)
	d.copies = append(d.copies, d.place.Snapshot())
	return nil
}

// placeBack puts an older copy of a share back.
func (w *world) placeBack(r int) error {
	d := w.destination(r)
	if len(d.copies) == 0 {
		return nil
	}
	w.placesBack = true
	before := d.place.Files()
	d.place.Restore(d.copies[r/3%len(d.copies)])
	after := d.place.Files()
	w.noteCameBack(d, before, after)
	for name, data := range before {
		if now, ok := after[name]; !ok || string(now) != string(data) {
			d.harmed[name] = true
		}
	}
	for name := range d.foreign {
		if _, ok := after[name]; !ok {
			delete(d.foreign, name)
		}
	}
	return nil
}

// harm takes away or alters one file at a destination; together with what stands beside the marker, or so that nothing
// tells the agent.
func (w *world) harm(r int) error {
	d := w.destination(r)
	var names []string
	for name := range d.place.Files() {
		if _, foreign := d.foreign[name]; !foreign && !isOwn(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	name := names[r/8%len(names)]
	d.harmed[name] = true
	if r/2%2 == 0 {
		d.place.Plant(name, nil)
	} else {
		d.place.Plant(name, []byte("altered"))
	}
	if r/4%2 == 0 {
		d.place.Reconnect() // an audit that is under way would put back what tells the agent
		d.place.SetOwn("last-delivered", nil)
	} else {
		d.silent[name] = true
	}
	return nil
}

// foreignFile puts somebody else's file under the name of an item that is not there yet.
func (w *world) foreignFile(r int) error {
	d := w.destination(r)
	files := d.place.Files()
	var names []string
	for name := range d.known {
		if _, taken := files[name]; !taken && !d.harmed[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	name := names[r%len(names)]
	d.foreign[name] = []byte("somebody else's")
	d.place.Plant(name, d.foreign[name])
	return nil
}

// clone starts a copy of a machine beside it.
func (w *world) clone(r int) error {
	if len(w.machines) > 2 {
		return nil
	}
	m := w.machine(r)
	copied, err := m.Clone()
	if err != nil {
		return err
	}
	w.cloned = true
	c := &machine{Machine: copied, name: m.name, link: w.newLink(m.name)}
	w.machines = append(w.machines, c)
	return c.Start(w.ctx, c.link)
}

func (w *world) copyServer(int) error {
	c, err := w.server.Snapshot()
	w.serverCopies = append(w.serverCopies, c)
	return err
}

// restoring is what it takes at least to put a server back. Numbers of sessions begin with the time and are spread over a
// millisecond, so that none is lower than one that was given before the server went back.
const restoring = 2 * time.Millisecond

// serverSetBack puts the server back to an older copy.
func (w *world) serverSetBack(r int) error {
	if len(w.serverCopies) == 0 {
		return nil
	}
	if err := w.stopServer(); err != nil {
		return err
	}
	time.Sleep(restoring)
	w.serverBack = true
	c := w.serverCopies[r/12%len(w.serverCopies)]
	if r%12 == 0 {
		c = serversim.Empty() // the ledgers are gone, and nothing else
	}
	if err := w.server.Restore(c, r%2 == 1, true); err != nil {
		return err
	}
	if r%12 > 6 {
		return w.server.SayRecovered()
	}
	return nil
}
