package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"brume/near"
)

// maxProblems bounds what is told at once.
const maxProblems = 50

// mostEntries bounds the entries of all lists.
const mostEntries = 1000

const secondDocument = "a second document begins here; put everything into one, without ---"

// decoder lays a YAML document over a configuration. It walks the syntax tree itself, since
// that gives the place of each fault, and all of them in one go.
type decoder struct {
	file string

	places   map[string]*token.Position // of each key that the file sets
	problems problems
}

// parse returns the document's top mapping, nil for an empty document.
func (d *decoder) parse(text []byte) ast.Node {
	tokens := lexer.Tokenize(string(text))
	if e := deep(tokens); e != nil {
		e.File = d.file
		d.problems = append(d.problems, e)
		return nil
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		d.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if body != nil {
			d.fault(doc.Body, "", secondDocument)
			return nil
		}
		body = doc.Body
	}
	return body
}

// deep refuses what the parser would spend memory or time on without bound, and what has no
// use here.
func deep(tokens token.Tokens) *Error {
	const mostOpen = 16
	open, entries, documents := 0, 0, 0
	for _, t := range tokens {
		message := ""
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		case token.DocumentHeaderType:
			documents++
		case token.AnchorType, token.AliasType, token.TagType, token.DirectiveType:
			message = "anchors, aliases, tags and directives are not supported; write the value itself"
		}
		if open > mostOpen || entries > mostEntries {
			message = "too many brackets within each other, or too many list entries"
		}
		if documents > 1 {
			message = secondDocument
		}
		if message != "" {
			return &Error{Line: t.Position.Line, Column: t.Position.Column, Message: message}
		}
	}
	return nil
}

func (d *decoder) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) {
		d.problems = append(d.problems, &Error{File: d.file, Message: err.Error()})
		return
	}
	e := &Error{File: d.file, Message: y.GetMessage()}
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	d.problems = append(d.problems, e)
}

// mapping lays a mapping over the struct v, whose key is path (empty for the top).
func (d *decoder) mapping(node ast.Node, v reflect.Value, path string) {
	for _, pair := range d.pairs(node, path) {
		name, ok := d.keyName(pair, path)
		if !ok {
			continue
		}
		key := join(path, name)
		field, ok := fieldByKey(v, name)
		if !ok {
			d.fault(pair.Key, key, unknownKey(v.Type(), name))
			continue
		}
		d.places[key] = pair.Key.GetToken().Position
		d.value(pair.Value, field, key)
	}
}

func (d *decoder) value(node ast.Node, v reflect.Value, key string) {
	if leaf, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, ok := scalar(node)
		if !ok {
			d.fault(node, key, "needs one plain value")
			return
		}
		if err := leaf.UnmarshalText([]byte(text)); err != nil {
			d.fault(node, key, err.Error())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(node, v, key)
	case reflect.Slice:
		d.list(node, v, key)
	case reflect.Map:
		d.table(node, v, key)
	}
}

// list decodes a list's entries, which are leaves or have keys below them. An entry's key is its number, from 0.
func (d *decoder) list(node ast.Node, v reflect.Value, key string) {
	var entries []ast.Node
	switch n := node.(type) {
	case nil, *ast.NullNode:
	case *ast.SequenceNode:
		entries = n.Values
	default:
		d.fault(node, key, "needs a list: each entry behind a dash on a line of its own, or all of them in [ ]")
		return
	}
	if len(entries) > mostEntries {
		d.fault(node, key, fmt.Sprintf("has more than %d entries", mostEntries))
		return
	}
	for i, entry := range entries {
		at := join(key, strconv.Itoa(i))
		d.places[at] = begin(entry).Position
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(entry, e, at)
		v.Set(reflect.Append(v, e))
	}
}

// begin is the first token of a list's entry.
func begin(entry ast.Node) *token.Token {
	switch n := entry.(type) {
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return begin(n.Values[0])
		}
	}
	return entry.GetToken()
}

// table decodes a mapping whose keys are free.
func (d *decoder) table(node ast.Node, v reflect.Value, key string) {
	for _, pair := range d.pairs(node, key) {
		name, ok := d.keyName(pair, key)
		if !ok {
			continue
		}
		k := reflect.New(v.Type().Key())
		if leaf, ok := k.Interface().(encoding.TextUnmarshaler); ok {
			if err := leaf.UnmarshalText([]byte(name)); err != nil {
				d.fault(pair.Key, key, err.Error())
				continue
			}
		} else {
			k.Elem().SetString(name)
		}
		at := join(key, name)
		d.places[at] = pair.Key.GetToken().Position
		e := reflect.New(v.Type().Elem()).Elem()
		if e.Kind() == reflect.String && !reflect.PointerTo(e.Type()).Implements(textUnmarshaler) {
			text, ok := scalar(pair.Value)
			if !ok {
				d.fault(pair.Value, at, "needs one plain value")
				continue
			}
			e.SetString(text)
		} else {
			d.value(pair.Value, e, at)
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(k.Elem(), e)
	}
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// streams reads the table of streams. Each entry begins as a copy of the general values.
func (d *decoder) streams(node ast.Node, c *Config) {
	for _, pair := range d.pairs(node, "streams") {
		name, ok := d.keyName(pair, "streams")
		if !ok {
			continue
		}
		key := join("streams", name)
		var p Pattern
		if err := p.UnmarshalText([]byte(name)); err != nil {
			d.fault(pair.Key, "streams", err.Error())
			continue
		}
		d.places[key] = pair.Key.GetToken().Position
		s := c.general()
		d.mapping(pair.Value, reflect.ValueOf(&s).Elem(), key)
		c.Streams[p] = s
	}
}

// pairs returns the entries of a mapping. Null counts as an empty one: that is what is left
// when every key below is commented out.
func (d *decoder) pairs(node ast.Node, path string) []*ast.MappingValueNode {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	d.fault(node, path, "needs keys below it, each as \"key: value\" on a line of its own")
	return nil
}

// keyName returns the name of a pair's key. Keys that are no plain names (merges, aliases,
// collections) are refused.
func (d *decoder) keyName(pair *ast.MappingValueNode, path string) (string, bool) {
	name, ok := scalar(pair.Key)
	if !ok || name == "" {
		d.fault(pair.Key, path, "a key must be a plain name")
		return "", false
	}
	return name, true
}

func (d *decoder) fault(node ast.Node, key, message string) {
	e := &Error{File: d.file, Key: key, Message: message}
	if node != nil {
		if t := node.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	d.problems = append(d.problems, e)
}

// scalar returns the text of a plain value as it was written, or of a quoted one as it was meant.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode:
		return n.Token.Value, true
	case *ast.FloatNode:
		return n.Token.Value, true
	case *ast.BoolNode:
		return n.Token.Value, true
	case *ast.InfinityNode:
		return n.Token.Value, true
	case *ast.NanNode:
		return n.Token.Value, true
	}
	return "", false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func fieldByKey(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if field, ok := fieldByKey(v.Field(i), name); ok {
				return field, true
			}
		} else if f.Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// sectionKeys lists the keys that a section takes.
func sectionKeys(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			keys = append(keys, sectionKeys(f.Type)...)
		} else {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// unknownKey says which keys there are, the likely one first.
func unknownKey(t reflect.Type, name string) string {
	keys := sectionKeys(t)
	if meant := near.Name(name, keys); meant != "" {
		return fmt.Sprintf("unknown key; did you mean %s?", meant)
	}
	sort.Strings(keys)
	return "unknown key; the keys here are " + strings.Join(keys, ", ")
}
