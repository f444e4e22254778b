package sqlite

// Unseal lets others write to the copy, as in the moments around a change.
func (a *Applier) Unseal() { a.d.shm.unlock(byteWrite) }
