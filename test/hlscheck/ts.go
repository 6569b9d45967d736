package hlscheck

// transportStream reads the decode times of a segment's leading elementary stream: the first video one, else the first audio one.
func transportStream(b []byte) Media {
	const size = 188
	var video, audio tsTrack
	for ; len(b) >= size; b = b[size:] {
		p := b[:size]
		if p[0] != 0x47 || p[1]&0x40 == 0 || p[3]&0x10 == 0 {
			continue
		}
		pid, at, random := int(p[1]&0x1f)<<8|int(p[2]), 4, false
		if p[3]&0x20 != 0 {
			at += 1 + int(p[4])
			random = p[4] > 0 && p[5]&0x40 != 0 // random_access_indicator
		}
		if at+19 > size || p[at] != 0 || p[at+1] != 0 || p[at+2] != 1 {
			continue
		}
		switch id := p[at+3]; {
		case id&0xf0 == 0xe0:
			video.add(pid, p[at+7:], random)
		case id&0xe0 == 0xc0 || id == 0xbd:
			audio.add(pid, p[at+7:], true)
		}
	}
	if video.m.Samples > 0 {
		return video.m
	}
	audio.m.sound = audio.m.Samples > 0
	return audio.m
}

// tsTrack is one elementary stream of a segment.
type tsTrack struct {
	pid  int
	last float64
	m    Media
}

// add takes a PES header from its flags on (ISO/IEC 13818-1 2.4.3.7).
func (t *tsTrack) add(pid int, b []byte, random bool) {
	const wrap = float64(1<<33) / 90000
	flags := b[0] >> 6
	if flags < 2 || t.m.Samples > 0 && pid != t.pid {
		return
	}
	at := 2
	if flags == 3 {
		at = 7 // the DTS
	}
	if len(b) < at+5 {
		return
	}
	b = b[at:]
	now := float64(uint64(b[0]>>1&7)<<30|uint64(b[1])<<22|uint64(b[2]>>1)<<15|uint64(b[3])<<7|uint64(b[4]>>1)) / 90000
	if t.m.Samples == 0 {
		t.pid = pid
		t.m = Media{Start: now, Independent: random, wrap: wrap}
	} else if d := now - t.last; d > 0 {
		t.m.Longest = max(t.m.Longest, d)
	}
	t.m.Samples++
	t.last = now
}
