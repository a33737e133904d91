// Command probe is a service, and an agent, that behaves as the tests of
// package engine ask it to.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		agent()
		return
	}
	switch mode := os.Getenv("MODE"); mode {
	case "eat":
		eat()
	case "eat-child":
		child := exec.Command("/proc/self/exe")
		child.Env = []string{"MODE=eat"}
		fmt.Println("child:", child.Run())
		serve()
	case "exit":
		fmt.Println("stdout: about to end")
		fmt.Fprintln(os.Stderr, "stderr: about to end")
		os.Exit(3)
	case "spin":
		go serve()
		for {
		}
	default:
		serve()
	}
}

// serve answers every request with its environment.
func serve() {
	fmt.Println("listening")
	err := http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), " "))
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// eat uses memory until it is stopped.
func eat() {
	fmt.Println("eating")
	for hog := [][]byte(nil); ; {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		hog = append(hog, b)
		if len(hog)%8 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// agent answers a line a line: "get URL" with the page, "exit" by failing,
// anything else with itself.
func agent() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch command, url, _ := strings.Cut(in.Text(), " "); command {
		case "get":
			fmt.Println(get(url))
		case "exit":
			fmt.Fprintln(os.Stderr, "the probe was told to fail")
			os.Exit(7)
		default:
			fmt.Println(in.Text())
		}
	}
}

func get(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
