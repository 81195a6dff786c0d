// Package dest is the contract between the nightly copy and the places where recordings are kept: what every
// driver must do, and the concrete [Store], [Place] and [Batch] that do once, outside the drivers, what all of
// them need: checking names, hashing, comparing what was stored, the marker, and telling apart what is missing
// from what cannot be reached. It does not retry, does not classify faults (it hands out the system's own error
// codes, reachable with errors.As), keeps no state between processes, and signs nothing.
//
// # The words
//
// A [Driver] is one opened handle on a place: a local directory handle, a connection, a client of an object
// store. An [Opener] opens one. Everything done through one Driver happens at the place that was opened, or
// fails: a share that is unmounted in between is never filled, nor read, behind its back. So a Driver is opened
// for each batch and closed after it; it is not kept for the life of the process.
//
// A [Store] is one destination, for the life of the process. [Store.Open] opens a handle, reads the marker
// through it, and returns a [Place]. [Place.Begin] starts a [Batch] on the same handle.
//
// # What nil means
//
// A nil error of [Driver.Put], and a nil [Result.Err] of [Batch.Publish] that came with a nil error of Publish
// itself, mean that the whole file is complete, durable and visible under its name, and that what is stored was
// read back and has the wanted SHA-256 and size. Any other error means that nothing of ours is known to be
// visible there: the name is as it was, or what is there will be found by its hash. After an error of
// [Batch.Sync], [Staged.Commit] (other than a wrong digest), or Publish itself, the whole batch is unknown: every
// further call returns [ErrBroken], and the caller discards it.
//
// # Errors that callers act on
//
//	ErrUnreachable    the place cannot be reached or read; nothing follows about what it holds
//	ErrNoMarker       it can be read and holds no marker: not initialised, or not mounted
//	ErrForeignMarker  it carries the marker of another log (ForeignMarkerError names both)
//	ErrMarker         it carries a marker that cannot be understood
//	ErrUnsuitable     it cannot do what safe copying needs (found by Init)
//	ErrName           the name is refused, before anything was touched
//	ErrConflict       something else is under the name; it was left as it is (is also fs.ErrExist)
//	fs.ErrNotExist    the name is truly absent, at a place that was reached and proved to be the right one
//	backup.ErrDigest  what was received does not have the recorded digest: the fault of the line or the source
//	ErrReadBack       what is stored is not what was written: the fault of the destination
//	ErrBroken         the batch is unknown and must be discarded
//
// # One batch from begin to end
//
//	place, err := store.Open(ctx)                       // opens a handle, proves by the marker that it is the place
//	if err != nil { return err }
//	defer place.Close()
//
//	kept, err := place.ReadOwn(ctx, dest.LastDelivered) // compare with the outbox and the log before each batch
//
//	found, err := place.Hash(ctx, names)                // what is already there: absent, equal, CONFLICT
//	...                                                 // equal: adopt; absent: fetch
//
//	batch, err := place.Begin(ctx)
//	if err != nil { return err }
//	defer batch.Discard()
//
//	// In several goroutines, one file each:
//	file, err := batch.Stage(ctx, item.Path, item.Digest)
//	for {                                               // the stream may break: open it again at file.Offset()
//		_, err = file.Write(chunk)
//	}
//	err = file.Commit()                                 // size and SHA-256 of what was received
//
//	// In one goroutine; files still being written are not part of the round and go on undisturbed:
//	err = batch.Sync(ctx)                               // step 4: what was committed is durable, out of sight
//	err = batch.Verify(ctx)                             // step 5: reads it back past the caches and hashes it
//	results, err := batch.Publish(ctx)                  // step 6: makes the equal ones visible, never replacing
//	for _, r := range results {
//		// r.Err: nil, ErrConflict, ErrReadBack, or the system's error; r.Method goes into the receipt
//	}
//
//	err = place.WriteOwn(ctx, dest.LastDelivered, hash) // before the receipt enters the outbox
//
// Sync, Verify and Publish make one round. A batch may have several: a large file can go on being received while
// what is complete is published, and so survives a broken stream without being begun again.
//
// # Own files
//
// What the agent keeps at a destination for itself lies under [backup.OwnPrefix]:
//
//	.wolkvox/marker                            which log this place belongs to
//	.wolkvox/head                              the last agreed head
//	.wolkvox/last-delivered                    the hash of the last delivered receipt signed
//	.wolkvox/located                           where the place was when it was taken into use
//	.wolkvox/moving                            a move to this place, which had no marker, is not finished
//	.wolkvox/head.LOGID, last-delivered.LOGID  those of an earlier log that this one continues
//	.wolkvox/staging/<process>/<batch>/<file>  files out of sight, swept by the next process
//	.wolkvox/evidence/<name>/<LOGID>/…         the log, the manifests and sums as plain files (proto/README.md, section 1.8)
//	.wolkvox/aside/<label>/<name>              what was moved out of the way, never deleted
//
// # Drivers
//
// A driver package exports an [Opener] and passes the conformance suite of package desttest. Optional abilities
// ([Stager], [Keeper], [Mover], [Settler], [Lister], [Spacer], [Reporter] and others) are asserted in one place, when a Place is opened.
// Names that reach a driver have been checked; drivers still resolve them so that no link leads out.
package dest
