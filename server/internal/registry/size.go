package registry

// SizeBytes returns how many bytes the registry occupies, as last measured (once a minute).
func (r *Registry) SizeBytes() int64 {
	tables, values := r.db.Size()
	return tables + values
}
