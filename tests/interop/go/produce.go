// produce URL QUEUE PAYLOAD MAX_RETRY puts one task into a queue and prints its id.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/google/uuid"
	"gopkg.in/redis.v5"
)

func main() {
	address, queue, payload, maxRetry := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	options, err := redis.ParseURL(address)
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()

	id, err := produce(client, queue, payload, maxRetry)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(id)
}

func produce(client *redis.Client, queue, payload, maxRetry string) (string, error) {
	var value map[string]interface{}
	if err := json.Unmarshal([]byte(payload), &value); err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	id := uuid.New().String()
	// This release's HSet takes one field; v9's, given several, sends the command spelled out here.
	hset := redis.NewIntCmd("hset", "asynq:t:"+id,
		"type", "task",
		"payload", string(text),
		"retry", "0",
		"max_retry", maxRetry,
		"queue", queue,
	)
	if err := client.Process(hset); err != nil {
		return "", err
	}
	return id, client.LPush("asynq:"+queue+":pending", id).Err()
}
