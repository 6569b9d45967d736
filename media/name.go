package media

// MaxNameSize is the longest name of a stream, in bytes.
const MaxNameSize = 100

// ValidName tells whether a stream may have that name: [A-Za-z0-9][A-Za-z0-9_.+-]{0,99}. Case matters.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxNameSize {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == '+' || c == '-'):
		default:
			return false
		}
	}
	return true
}
