package jobspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DefaultMaxSize is the largest job file that is read, in bytes, unless the caller says otherwise.
const DefaultMaxSize = 1 << 20

// maxDepth bounds how deeply brackets nest and maxRun how many tokens one expression has. The HCL parser and
// evaluator recurse over both; a stack that outgrows its limit would end the whole process.
const (
	maxDepth = 200
	maxRun   = 20000
)

// checkSize refuses a file over limit bytes (0 = DefaultMaxSize).
func checkSize(name string, src []byte, limit int) error {
	if limit <= 0 {
		limit = DefaultMaxSize
	}
	if len(src) <= limit {
		return nil
	}
	return Diagnostics{{File: name, Message: fmt.Sprintf("the file has %d bytes, the limit is %d bytes (%s): "+
		"move large data out of the job, for example into an artifact", len(src), limit, sizeText(limit))}}
}

func sizeText(n int) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d kB", n>>10)
}

// checkNesting refuses native HCL that nests too deeply, before the recursive parser sees it.
func checkNesting(name string, src []byte) error {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return checkTokens(name, tokens)
}

func checkTokens(name string, tokens hclsyntax.Tokens) error {
	var open []hclsyntax.TokenType
	run := 0
	for _, t := range tokens {
		run++
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if open = append(open, t.Type); len(open) > maxDepth {
				return tooDeep(name, t.Range.Start.Line)
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		case hclsyntax.TokenComma:
			run = 0
		case hclsyntax.TokenNewline:
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				run = 0
			}
		}
		if run > maxRun {
			return Diagnostics{{File: name, Line: t.Range.Start.Line, Column: t.Range.Start.Column, Message: fmt.Sprintf(
				"an expression has more than %d parts, which is the limit", maxRun)}}
		}
	}
	return nil
}

func tooDeep(name string, line int) error {
	return Diagnostics{{File: name, Line: line, Column: 1,
		Message: fmt.Sprintf("brackets nest more than %d deep, which is the limit", maxDepth)}}
}

// checkJSONNesting does for the JSON profile what checkNesting does for native syntax, and for the templates in its
// strings too. Text that is not JSON passes: the parser will say what is wrong with it.
func checkJSONNesting(name string, src []byte) error {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	depth := 0
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxDepth {
				return tooDeep(name, 1+bytes.Count(src[:dec.InputOffset()], []byte("\n")))
			}
		case string:
			if strings.Contains(v, "${") || strings.Contains(v, "%{") {
				tokens, _ := hclsyntax.LexTemplate([]byte(v), name, hcl.InitialPos)
				if err := checkTokens(name, tokens); err != nil {
					return err
				}
			}
		}
	}
}
