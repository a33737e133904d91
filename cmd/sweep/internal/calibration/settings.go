package main

import (
	"fmt"
	"strconv"
	"time"
)

// settings reads what a service is made of, and keeps the first fault.
type settings struct {
	getenv func(string) string
	fault  error
}

func (s *settings) count(name string) int {
	n, err := strconv.Atoi(s.getenv(name))
	if err == nil && n < 1 {
		err = strconv.ErrRange
	}
	return keep(s, name, n, 1, err)
}

func (s *settings) duration(name string) time.Duration {
	d, err := time.ParseDuration(s.getenv(name))
	if err == nil && d < 0 {
		err = strconv.ErrRange
	}
	return keep(s, name, d, 0, err)
}

// has reports whether something is set.
func (s *settings) has(name string) bool { return s.getenv(name) != "" }

// keep returns value, or where there is an err, something harmless.
func keep[T any](s *settings, name string, value, harmless T, err error) T {
	if err == nil {
		return value
	}
	if s.fault == nil {
		s.fault = fmt.Errorf("%s=%q: %w", name, s.getenv(name), err)
	}
	return harmless
}
