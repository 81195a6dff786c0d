// Package simulation runs schedules of faults against real agents and a real server in one process, in a bubble of
// package synctest where waiting costs nothing, and checks what must always hold and that every schedule ends in agreement
// or in one named alarm. A schedule is a function of its seed; a failing one is shrunk and printed.
//
// The machines are those of packages agentsim and serversim. What people's programs, gRPC, TLS and file systems do is not
// simulated here.
package simulation
