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

// maxDepth bounds how deeply brackets nest and maxRun how deep the syntax tree of an expression may be, in tokens. The
// HCL parser and evaluator recurse over both; a stack that outgrows its limit would end the whole process.
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
	open := []level{{}}
	for _, t := range tokens {
		top := &open[len(open)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			top.count()
			if open = append(open, level{opener: t.Type}); len(open) > maxDepth {
				return tooDeep(name, t.Range.Start.Line)
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(open) == 1 {
				break // one too many, for the parser to report
			}
			top.separate()
			open = open[:len(open)-1]
			outer := &open[len(open)-1]
			outer.inner = max(outer.inner, top.height)
			top = outer
		case hclsyntax.TokenComma:
			top.separate()
		case hclsyntax.TokenNewline:
			if top.opener == hclsyntax.TokenOBrace || len(open) == 1 {
				top.separate()
			}
		default:
			top.count()
		}
		if top.run+top.inner > maxRun {
			return Diagnostics{{File: name, Line: t.Range.Start.Line, Column: t.Range.Start.Column, Message: fmt.Sprintf(
				"an expression has more than %d parts, which is the limit", maxRun)}}
		}
	}
	return nil
}

// level is what is known of the expressions inside one pair of brackets. Its heights are how deep a syntax tree of
// them may be: as deep as there are tokens side by side, on top of the deepest bracket among them.
type level struct {
	opener hclsyntax.TokenType // 0 outside of all brackets
	run    int                 // tokens of the expression at hand, brackets counting as one
	inner  int                 // height of the highest bracket in the expression at hand
	height int                 // of the highest expression so far
}

// count adds a token. The parts of a template lie side by side, they do not nest.
func (l *level) count() {
	if l.opener != hclsyntax.TokenOQuote && l.opener != hclsyntax.TokenOHeredoc {
		l.run++
	}
}

// separate begins another expression.
func (l *level) separate() {
	l.height = max(l.height, l.run+l.inner)
	l.run, l.inner = 0, 0
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
