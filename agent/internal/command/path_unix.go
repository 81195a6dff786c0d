//go:build unix

package command

const defaultConfigPath = "/etc/wolkvox-agent/agent.yaml"
