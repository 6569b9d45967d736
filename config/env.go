package config

import (
	"encoding"
	"reflect"
	"strings"
)

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "BRUME_"

// override lays the environment, as os.Environ gives it, over c. It returns the variables
// that set something by their key, and what is wrong.
func override(c *Config, env []string) (map[string]string, problems) {
	leaves := map[string]leaf{}
	collect(reflect.ValueOf(c).Elem(), "", leaves)
	names := make([]string, 0, len(leaves))
	for name := range leaves {
		names = append(names, name)
	}
	set := map[string]string{}
	var wrong problems
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		l, ok := leaves[name]
		switch {
		case ok:
			if err := l.value.UnmarshalText([]byte(value)); err != nil {
				wrong = append(wrong, &Error{Key: name, Message: err.Error()})
				continue
			}
			set[l.key] = name
		case name == EnvPrefix+"STREAMS" || strings.HasPrefix(name, EnvPrefix+"STREAMS_"):
			wrong = append(wrong, &Error{Key: name, Message: "streams can be set in the file only"})
		default:
			message := "unknown variable; unset it, or see the example file for the keys"
			if near := nearest(name, names); near != "" {
				message = "unknown variable; did you mean " + near + "?"
			}
			wrong = append(wrong, &Error{Key: name, Message: message})
		}
	}
	return set, wrong
}

type leaf struct {
	key   string
	value encoding.TextUnmarshaler
}

// collect gathers the leaves below v by the names of their variables.
func collect(v reflect.Value, path string, leaves map[string]leaf) {
	for i := range v.NumField() {
		key := join(path, v.Type().Field(i).Tag.Get("yaml"))
		field := v.Field(i)
		if l, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
			leaves[EnvPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = leaf{key, l}
		} else if field.Kind() == reflect.Struct {
			collect(field, key, leaves)
		}
	}
}
