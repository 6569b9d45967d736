package media

// TrackRole is whom a track of audio is for. The empty one: everybody.
type TrackRole string

// The roles of tracks.
const (
	TrackDescription TrackRole = "description" // the programme's sound with a description of its pictures, for those who can't see them
	TrackNarration   TrackRole = "narration"   // the description alone, for a receiver that mixes it with the programme's sound
	TrackHearing     TrackRole = "hearing"     // speech that is easy to understand, for the hard of hearing
	TrackSubtitles   TrackRole = "subtitles"   // subtitles that are spoken
)

// Known reports whether it is one of the roles, or empty.
func (r TrackRole) Known() bool {
	switch r {
	case "", TrackDescription, TrackNarration, TrackHearing, TrackSubtitles:
		return true
	}
	return false
}
