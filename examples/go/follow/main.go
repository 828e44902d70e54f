// Follow prints LIMIT records from entry SINCE on, each as soon as it is durable: follow URL SINCE LIMIT.
//
// /v1/follow is a stream of server-sent events. This example ends with the stream; a program that must not miss a record
// reconnects with the header Last-Event-ID, the id of the last event that it received.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: follow URL SINCE LIMIT")
	}
	answer, err := http.Get(fmt.Sprintf("%sv1/follow?since=%s&limit=%s", os.Args[1], os.Args[2], os.Args[3]))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 64<<20) // a record of 16 MiB in base64
	event, data := "", ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			event = value
		case "data":
			data = value
		case "": // an empty line ends an event
			show(event, data)
			event, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func show(event, data string) {
	switch event {
	case "record":
		var record struct {
			Cursor    int64
			PayloadID string `json:"payload_id"`
		}
		if err := json.Unmarshal([]byte(data), &record); err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.Cursor, record.PayloadID)
	case "problem":
		log.Fatal(data)
	}
}
