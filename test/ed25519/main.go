// Command ed25519 reads {"Key", "Message", "Signature"} in base64, one JSON object a line, and prints the verdict of Go's crypto/ed25519 on
// each: true or false.
package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
)

func main() {
	lines := json.NewDecoder(os.Stdin)
	for {
		var vector struct{ Key, Message, Signature []byte }
		if err := lines.Decode(&vector); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ed25519.Verify(vector.Key, vector.Message, vector.Signature))
	}
}
