package hls

// beginning is the epoch in which a player begins that is opened now: the one at the hold-back, or where EXT-X-START leads to.
func (s *snapshot) beginning() *epoch {
	var after int64 // from the beginning of a segment to the end of the playlist
	list, independent := s.list(), s.independent()
	for i := len(list) - 1; i >= 0; i-- {
		after += s.listedDuration(list[i])
		if after >= holdTargets*s.target() && (independent || list[i].independent) {
			return list[i].epoch
		}
	}
	return list[0].epoch
}

// offered are the renditions that the multivariant playlist lists: those of the epoch in which players begin that the newest epoch has too, and
// those of the newest where the two have none in common. A player that begins before a rendition has anything, or goes on where it has nothing any
// more, waits for it for good.
func (s *snapshot) offered() []*lane {
	var all, common []*lane
	first := s.beginning()
	for i := range s.epoch.lanes {
		all = append(all, &s.epoch.lanes[i])
	}
	for i := range first.lanes {
		if s.epoch.lane(first.lanes[i].id) >= 0 {
			common = append(common, &first.lanes[i])
		}
	}
	if len(common) == 0 {
		return all
	}
	return common
}
