package jobspec

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"regexp"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/crypto/bcrypt"
)

// onString makes a function of one string to a string.
func onString(f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "str", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			return cty.StringVal(s), err
		},
	})
}

var (
	base64Encode = onString(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil })
	base64Decode = onString(func(s string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return "", fmt.Errorf("not base64: %v", err)
		}
		if !utf8.Valid(b) {
			return "", fmt.Errorf("the decoded bytes are not UTF-8 text")
		}
		return string(b), nil
	})
	urlEncode  = onString(func(s string) (string, error) { return url.QueryEscape(s), nil })
	md5Func    = onString(func(s string) (string, error) { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]), nil })
	sha1Func   = onString(func(s string) (string, error) { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]), nil })
	sha256Func = onString(func(s string) (string, error) { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]), nil })
	sha512Func = onString(func(s string) (string, error) { h := sha512.Sum512([]byte(s)); return hex.EncodeToString(h[:]), nil })
)

// maxBcryptCost bounds the time one call takes: each step doubles it, and jobs are parsed on servers too.
const maxBcryptCost = 14

var bcryptFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "str", Type: cty.String}},
	VarParam: &function.Parameter{Name: "cost", Type: cty.Number},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		cost := bcrypt.DefaultCost
		if len(args) > 2 {
			return cty.NilVal, fmt.Errorf("bcrypt takes one or two arguments, got %d", len(args))
		}
		if len(args) == 2 {
			n, _ := args[1].AsBigFloat().Int64()
			cost = int(n)
		}
		if cost > maxBcryptCost {
			return cty.NilVal, fmt.Errorf("cost %d is over the limit of %d", cost, maxBcryptCost)
		}
		h, err := bcrypt.GenerateFromPassword([]byte(args[0].AsString()), cost)
		return cty.StringVal(string(h)), err
	},
})

var rsaDecrypt = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "ciphertext", Type: cty.String}, {Name: "privatekey", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		text, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "the ciphertext is not base64")
		}
		key, err := rsaKey(args[1].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		out, err := rsa.DecryptPKCS1v15(rand.Reader, key, text)
		if err != nil {
			return cty.NilVal, fmt.Errorf("the key does not decrypt the text")
		}
		return cty.StringVal(string(out)), nil
	},
})

func rsaKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("the key is not in PEM form")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: a key with a password is not supported")
	}
	if k, ok := key.(*rsa.PrivateKey); ok {
		return k, nil
	}
	return nil, fmt.Errorf("the key is not an RSA key")
}

var uuidV4 = function.New(&function.Spec{
	Type: function.StaticReturnType(cty.String),
	Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.StringVal(uuid.NewString()), nil },
})

var uuidV5 = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "namespace", Type: cty.String}, {Name: "name", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		space, ok := map[string]uuid.UUID{"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID,
			"x500": uuid.NameSpaceX500}[args[0].AsString()]
		if !ok {
			id, err := uuid.Parse(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "expected dns, url, oid, x500 or a UUID, got %q", args[0].AsString())
			}
			space = id
		}
		return cty.StringVal(uuid.NewSHA1(space, []byte(args[1].AsString())).String()), nil
	},
})

// maxFormatWidth bounds the padding that one verb may ask for.
const maxFormatWidth = 999

// wideVerb finds verbs with a width, precision or argument number of four digits and more.
var wideVerb = regexp.MustCompile(`%[-+# 0-9.\[\]]*[1-9][0-9]{3,}`)

// boundedFormat refuses format strings that ask for huge paddings, before they are allocated.
func boundedFormat(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if a := args[0]; a.Type() == cty.String && a.IsKnown() && !a.IsNull() {
				if verb := wideVerb.FindString(a.AsString()); verb != "" {
					return cty.NilType, function.NewArgErrorf(0, "%q asks for more than %d characters, which is the limit", verb, maxFormatWidth)
				}
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}
