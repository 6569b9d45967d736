package media

// Lead is the track by which an output cuts a stream and keeps its clock: the first of video, else the first of audio, else the first of data, of those
// for which among is true; -1 where there is none. Without among it is any track.
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
