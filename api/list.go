package api

// List is one page of a collection.
type List[T any] struct {
	Items []T `json:"items" doc:"One page of the collection"`
	Total int `json:"total" minimum:"0" doc:"How many there are on all pages"`
}

// Page selects a part of a collection.
type Page struct {
	Limit  int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Most items of the answer"`
	Offset int `query:"offset" minimum:"0" default:"0" doc:"Items to leave out before the first"`
}

// page cuts a sorted collection.
func page[T any](all []T, p Page) List[T] {
	from := min(p.Offset, len(all))
	to := from + min(p.Limit, len(all)-from)
	return List[T]{Items: append([]T{}, all[from:to]...), Total: len(all)}
}
