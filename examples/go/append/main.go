// Append appends a file as one record: append URL ID FILE.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: append URL ID FILE")
	}
	url, id, name := os.Args[1], os.Args[2], os.Args[3]
	file, err := os.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	request, err := http.NewRequest("POST", url+"v1/append", file)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-Payload-ID", id)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		log.Fatalf("append: %s: %s", answer.Status, body)
	}
	var receipt struct {
		Index     int64
		Duplicate bool
	}
	if err := json.Unmarshal(body, &receipt); err != nil {
		log.Fatal(err)
	}
	already := ""
	if receipt.Duplicate {
		already = " (it was already there)"
	}
	fmt.Printf("%s is entry %d%s\n", id, receipt.Index, already)
}
