package memdest

import (
	"maps"
	"slices"

	"github.com/wolkvox/backup"
)

// CutPower ends all handles and takes back what was not made durable. survives is asked once for each thing that
// the system was free to have written already, or not (a nil survives: nothing was): a name, or a file's
// contents. Contents that were never synced and do not survive are zeros under a name that did. Staging is gone.
func (d *Disk) CutPower(survives func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	clear(d.stages)
	after := maps.Clone(d.durable)
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if after[name] != d.names[name] && survives != nil && survives() {
			after[name] = d.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		n := after[name]
		switch {
		case survives != nil && survives():
		case n.durable == nil:
			n.data = make([]byte, len(n.data))
		default:
			n.data = slices.Clone(n.durable)
		}
		n.durable = slices.Clone(n.data)
	}
	d.names, d.durable = after, maps.Clone(after)
}

// Unplug ends all handles and lets every operation fail as unreachable, until [Disk.Plug].
func (d *Disk) Unplug() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.away = true
}

// Plug undoes [Disk.Unplug]. Handles from before it stay dead.
func (d *Disk) Plug() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = false
}

// Plant puts somebody else's file under a name, durably, replacing what was there.
func (d *Disk) Plant(name string, data []byte) {
	d.plant(name, &node{data: slices.Clone(data), durable: slices.Clone(data), closed: true})
}

// Remove deletes a visible file durably, as somebody else would.
func (d *Disk) Remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	delete(d.durable, name)
}

// PlantOdd puts something that is not a regular file under a name.
func (d *Disk) PlantOdd(name string) { d.plant(name, &node{odd: true, closed: true}) }

func (d *Disk) plant(name string, n *node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name], d.durable[name] = n, n
}

// SetOwn sets an own file, such as a marker; nil removes it.
func (d *Disk) SetOwn(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if data == nil {
		delete(d.own, name)
		return
	}
	d.own[name] = slices.Clone(data)
}

// Files returns the visible files, and those moved aside under their names with the own prefix.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := make(map[string][]byte)
	for name, n := range d.names {
		files[name] = slices.Clone(n.data)
	}
	for name, data := range d.own {
		files[backup.OwnPrefix+"/"+name] = slices.Clone(data)
	}
	return files
}

// Contents returns what is visible under one name.
func (d *Disk) Contents(name string) (data []byte, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, ok := d.names[name]; ok {
		return slices.Clone(n.data), true
	}
	return nil, false
}

// FlipStaged flips one bit in every staged file, durably, and returns how many files it met.
func (d *Disk) FlipStaged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	flipped := 0
	for s := range d.stages {
		for _, n := range s.files {
			if len(n.data) > 0 {
				n.data[len(n.data)/2] ^= 1
				n.durable = slices.Clone(n.data)
				flipped++
			}
		}
	}
	return flipped
}

// Snapshot returns a disk with what is durable on this one, as a copy that was taken now and is put back later.
func (d *Disk) Snapshot() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := New()
	s.objects = d.objects
	s.own = maps.Clone(d.own)
	for name, n := range d.durable {
		kept := &node{data: slices.Clone(n.durable), durable: slices.Clone(n.durable), odd: n.odd, closed: true}
		s.names[name], s.durable[name] = kept, kept
	}
	return s
}
