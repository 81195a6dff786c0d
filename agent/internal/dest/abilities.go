package dest

import "errors"

// abilities is what one driver can do beyond [Driver]; an absent ability is nil. This is the only place where
// they are asserted.
type abilities struct {
	Keeper
	stager   Stager
	hasher   Hasher
	glancer  Glancer
	rereader Rereader
	mover    Mover
	settler  Settler
	lister   Lister
	spacer   Spacer
	reporter Reporter
	copier   Copier
}

func abilitiesOf(driver Driver) (abilities, error) {
	var a abilities
	var ok bool
	if a.Keeper, ok = driver.(Keeper); !ok {
		return a, errors.New("the driver cannot keep the marker")
	}
	a.stager, _ = driver.(Stager)
	a.hasher, _ = driver.(Hasher)
	a.glancer, _ = driver.(Glancer)
	a.rereader, _ = driver.(Rereader)
	a.mover, _ = driver.(Mover)
	a.settler, _ = driver.(Settler)
	a.lister, _ = driver.(Lister)
	a.spacer, _ = driver.(Spacer)
	a.reporter, _ = driver.(Reporter)
	a.copier, _ = driver.(Copier)
	return a, nil
}
