package jobspec

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFileRead bounds what one file function reads, in bytes.
const maxFileRead = 16 << 20

// fileFunctions are the functions that look at the file system, relative to dir.
func fileFunctions(dir string) map[string]function.Function {
	return map[string]function.Function{
		"abspath":    onString(filepath.Abs),
		"basename":   onString(func(p string) (string, error) { return filepath.Base(p), nil }),
		"dirname":    onString(func(p string) (string, error) { return filepath.Dir(p), nil }),
		"pathexpand": onString(expandHome),
		"file": onString(func(p string) (string, error) {
			b, err := readFileAt(dir, p)
			if err == nil && !utf8.Valid(b) {
				return "", fmt.Errorf("%s is not UTF-8 text; use filebase64", p)
			}
			return string(b), err
		}),
		"filebase64": onString(func(p string) (string, error) {
			b, err := readFileAt(dir, p)
			return base64.StdEncoding.EncodeToString(b), err
		}),
		"fileexists": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				p, err := resolvePath(dir, args[0].AsString())
				if err != nil {
					return cty.NilVal, err
				}
				st, err := os.Stat(p)
				if err == nil && !st.Mode().IsRegular() {
					return cty.NilVal, fmt.Errorf("%s is not a file", args[0].AsString())
				}
				return cty.BoolVal(err == nil), nil
			},
		}),
		"fileset": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "pattern", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Set(cty.String)),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				return fileSet(dir, args[0].AsString(), args[1].AsString())
			},
		}),
	}
}

// disabled keeps a function's shape and makes every call fail.
func disabled(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type:     func(args []cty.Value) (cty.Type, error) { return f.ReturnTypeForValues(args) },
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
			return cty.NilVal, fmt.Errorf("filesystem function disabled: use it where the job file lies, with the command line")
		},
	})
}

func expandHome(p string) (string, error) {
	if p != "~" && !strings.HasPrefix(p, "~/") {
		return p, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home directory: %w", err)
	}
	return filepath.Join(home, p[1:]), nil
}

func resolvePath(dir, p string) (string, error) {
	p, err := expandHome(p)
	if err != nil || filepath.IsAbs(p) {
		return p, err
	}
	return filepath.Join(dir, p), nil
}

func readFileAt(dir, name string) ([]byte, error) {
	p, err := resolvePath(dir, name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileRead+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	if len(b) > maxFileRead {
		return nil, fmt.Errorf("read %s: the file is over the limit of %s", p, sizeText(maxFileRead))
	}
	return b, nil
}

// fileSet lists the files under a directory whose path fits a pattern of *, ?, [...], {a,b} and **.
func fileSet(dir, root, pattern string) (cty.Value, error) {
	base, err := resolvePath(dir, root)
	if err != nil {
		return cty.NilVal, err
	}
	re, err := globExpr(pattern)
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(1, "%q is no valid pattern", pattern)
	}
	var found []cty.Value
	err = filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(base, p)
		if err == nil && re.MatchString(filepath.ToSlash(rel)) {
			found = append(found, cty.StringVal(filepath.ToSlash(rel)))
		}
		return err
	})
	if err != nil {
		return cty.NilVal, fmt.Errorf("list %s: %w", base, err)
	}
	if len(found) == 0 {
		return cty.SetValEmpty(cty.String), nil
	}
	return cty.SetVal(found), nil
}

// globExpr is the pattern as a regular expression over slash-separated paths.
func globExpr(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '{':
			b.WriteString("(?:")
		case c == '}':
			b.WriteString(")")
		case c == ',':
			b.WriteString("|")
		case c == '[' || c == ']':
			b.WriteByte(c)
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.Compile(b.String() + "$")
}
