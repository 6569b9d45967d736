// Package near finds what somebody meant who misspelt a name.
package near

// Name returns the candidate that is at most two edits and less than half of its length
// away from name, or nothing.
func Name(name string, candidates []string) string {
	// A long name is no slip of the fingers, and its distance costs the product of the lengths.
	if len(name) > 64 {
		return ""
	}
	best, least := "", 3
	for _, c := range candidates {
		if n := distance(name, c); n < least && 2*n < len(c) {
			best, least = c, n
		}
	}
	return best
}

// distance is Levenshtein's: the bytes to insert, to delete and to exchange.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
