package media

// Role is whom a track of audio is for. The empty one: everybody.
type Role string

// The roles.
const (
	RoleDescription Role = "description" // the programme's sound with a description of its pictures, for those who can't see them
	RoleNarration   Role = "narration"   // the description alone, for a receiver that mixes it with the programme's sound
	RoleHearing     Role = "hearing"     // speech that is easy to understand, for the hard of hearing
	RoleSubtitles   Role = "subtitles"   // subtitles that are spoken
)

// Known reports whether it is one of the roles, or empty.
func (r Role) Known() bool {
	switch r {
	case "", RoleDescription, RoleNarration, RoleHearing, RoleSubtitles:
		return true
	}
	return false
}
