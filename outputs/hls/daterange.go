package hls

import (
	"encoding/hex"
	"slices"

	"brume/buffer"
)

// Bounds of the date ranges, whatever a buffer says.
const (
	maxDateRanges = 32
	maxSplice     = 4096 // bytes of a splice_info_section (ANSI/SCTE 35 9.6: 12 bits of length)
)

// dateRange is a splice command.
type dateRange struct {
	seq     uint64
	epoch   uint64
	wall    int64
	section []byte
}

// dateRanges are the splice commands that playlists list as EXT-X-DATERANGE, oldest first.
type dateRanges struct {
	list    []dateRange
	changes uint64 // counts what shows
}

// add keeps a command. A splice_null says nothing (ANSI/SCTE 35 9.7.1).
func (d *dateRanges) add(e *buffer.Entry, payload func() ([]byte, error)) {
	if e.Length < 15 || e.Length > maxSplice {
		return
	}
	b, err := payload()
	if err != nil || len(b) < 15 || b[4]&0x80 == 0 && b[13] == 0 {
		return
	}
	if len(d.list) == maxDateRanges {
		d.list = d.list[1:]
	}
	d.list = append(d.list, dateRange{seq: e.Seq, epoch: e.Epoch, wall: presented(e), section: b})
	d.changes++
}

// prune forgets the commands before an entry.
func (d *dateRanges) prune(tail uint64) {
	for len(d.list) > 0 && d.list[0].seq < tail {
		d.list = d.list[1:]
	}
}

// clone returns a copy that stays as it is.
func (d *dateRanges) clone() dateRanges { return dateRanges{slices.Clone(d.list), d.changes} }

// write lists the commands since a time. They stand before all segments, where a delta update has them too.
func (d *dateRanges) write(t *text, since int64) {
	for i := range d.list {
		r := &d.list[i]
		if r.wall < since {
			continue
		}
		t.add(`#EXT-X-DATERANGE:ID="scte35-`)
		t.number(r.epoch)
		t.add("-")
		t.number(r.seq)
		t.add(`",START-DATE="`)
		t.time(r.wall)
		t.add(`",SCTE35-CMD=0x`)
		t.b = hex.AppendEncode(t.b, r.section)
		t.line()
	}
}
