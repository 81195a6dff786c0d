// Package kill kills a server and its agent, again and again, while recordings are on their way, and looks whether both
// sides ever say anything false, whether work is repeated, and whether a file is ever visible that is not whole. It kills
// processes only; for machines that lose power see package powercut.
package kill
