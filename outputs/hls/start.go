package hls

// lead is the id of the rendition that segments are cut by, "" where none is.
func (s *snapshot) lead() string {
	for i := range s.epoch.lanes {
		if s.epoch.lanes[i].lead {
			return s.epoch.lanes[i].id
		}
	}
	return ""
}

// writeStart tells players where to begin while some segments begin without a random access point: at the newest one that does, and
// that ends before the hold-back or lies on it (RFC 8216 4.3.5.2). The offset counts from the end of the playlist of a rendition.
func (s *snapshot) writeStart(t *text, id string) {
	if s.closed || s.independent() {
		return
	}
	var after int64 // from the beginning of a segment to the end of the playlist
	if s.running != nil {
		for _, p := range s.parts(s.running, id) {
			after += p.stop - p.start
		}
	}
	list := s.list()
	for i := len(list) - 1; i >= 0; i-- {
		after += s.listedDuration(list[i])
		if list[i].independent && after >= holdTargets*s.target() {
			t.add("#EXT-X-START:TIME-OFFSET=-")
			t.seconds(after)
			t.line()
			return
		}
	}
}
