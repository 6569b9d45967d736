package media

// Lead is the track by which an output cuts a stream and keeps its clock: the first of video, else the first of audio, else the first of data, of those
// for which among reports true; -1 where no track is. Where among is nil, all tracks count.
func Lead(tracks []Track, among func(i int) bool) int {
	for _, kind := range []Kind{Video, Audio, Data} {
		for i := range tracks {
			if tracks[i].Codec.Kind() == kind && (among == nil || among(i)) {
				return i
			}
		}
	}
	return -1
}
