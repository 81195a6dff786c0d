package metrics

import "github.com/prometheus/client_golang/prometheus"

// DoorCounts are what went through the door for people since the server started.
type DoorCounts struct {
	Connections                   int // open now
	Logins, Refused, Files, Bytes int64
}

// Door collects what goes through the door.
type Door struct {
	counts                                     func() DoorCounts
	connections, logins, refused, files, bytes *prometheus.Desc
}

// NewDoor returns a collector of what counts says, which may be called concurrently.
func NewDoor(counts func() DoorCounts) *Door {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("wolkvox_door_"+name, help, nil, nil)
	}
	return &Door{
		counts:      counts,
		connections: desc("connections", "Connections of SFTP clients that are open."),
		logins:      desc("logins_total", "SFTP clients that were let in."),
		refused:     desc("refused_total", "Connections of SFTP clients that were not let in."),
		files:       desc("files_total", "Files that SFTP clients opened."),
		bytes:       desc("bytes_total", "Bytes of files that were sent to SFTP clients."),
	}
}

// Describe implements prometheus.Collector.
func (d *Door) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{d.connections, d.logins, d.refused, d.files, d.bytes} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *Door) Collect(to chan<- prometheus.Metric) {
	c := d.counts()
	to <- prometheus.MustNewConstMetric(d.connections, prometheus.GaugeValue, float64(c.Connections))
	for desc, value := range map[*prometheus.Desc]int64{d.logins: c.Logins, d.refused: c.Refused, d.files: c.Files, d.bytes: c.Bytes} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
}
