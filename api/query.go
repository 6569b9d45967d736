package api

import (
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// readQuery refuses query parameters that the operation does not have, and those that are given twice: a filter with a
// typing error must not answer with everything. Lists may be given both ways that OpenAPI knows, with commas and by
// repeating the parameter; the operation gets commas.
func readQuery(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return []error{&huma.ErrorDetail{Location: "query", Message: "it can't be read: there is a % without two hexadecimal digits, or a semicolon"}}
	}
	var errs []error
	for name, values := range query {
		i := slices.IndexFunc(ctx.Operation().Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch {
		case i < 0:
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "unknown query parameter"})
		case len(values) == 1 && name == "stream":
			query.Set(name, strings.ReplaceAll(values[0], " ", "+")) // no name has a blank: a + was written as it is
		case len(values) == 1:
		case ctx.Operation().Parameters[i].Schema.Type == huma.TypeArray:
			query.Set(name, strings.Join(values, ","))
		default:
			errs = append(errs, &huma.ErrorDetail{Location: "query." + name, Message: "given more than once; give it once"})
		}
	}
	r.URL.RawQuery = query.Encode()
	return errs
}
