package media

// Role is what a connection does with the media of a stream. The empty one: not stated; the first packet or its absence decides.
type Role string

// The roles of connections.
const (
	Publish Role = "publish" // sends media to the server
	Play    Role = "play"    // receives media from the server
)

// String returns the role's name, and "undecided" for the empty one.
func (r Role) String() string {
	if r == "" {
		return "undecided"
	}
	return string(r)
}
