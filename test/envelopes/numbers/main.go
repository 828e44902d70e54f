// Prints the RFC 8785 text of numbers, by Go's strconv and math/big. Lines in and out:
//
//	bits 3e70000000000000    ->  5.960464477539063e-8
//	literal 1.50             ->  1.5
//	literal 1.00000000000000001  ->  refused, since the text has another decimal value
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
)

// text is encoding/json's, which writes a float64 as ECMAScript does.
func text(value float64) string {
	if value == 0 {
		return "0"
	}
	out, err := json.Marshal(value)
	if err != nil {
		return "refused"
	}
	return string(out)
}

func kept(literal string) string {
	value, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return "refused"
	}
	given, ok := new(big.Rat).SetString(literal)
	if !ok {
		panic(literal)
	}
	written, ok := new(big.Rat).SetString(text(value))
	if !ok {
		panic(text(value))
	}
	if given.Cmp(written) != 0 {
		return "refused"
	}
	return text(value)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		kind, of, _ := strings.Cut(in.Text(), " ")
		if kind == "bits" {
			bits, err := strconv.ParseUint(of, 16, 64)
			if err != nil {
				panic(err)
			}
			fmt.Fprintln(out, text(math.Float64frombits(bits)))
		} else {
			fmt.Fprintln(out, kept(of))
		}
	}
	if err := in.Err(); err != nil {
		panic(err)
	}
}
