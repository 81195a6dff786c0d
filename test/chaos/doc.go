// Package chaos meets a server and an agent with what goes wrong outside them: lines that cut, stall and disturb, disks
// that fill up, turn read-only, go away or change bits, names and files that are in the way, and people who mistype. Each
// ends in a correct copy or in a fault that is named, and with nothing lost.
package chaos
