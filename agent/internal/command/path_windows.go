package command

const defaultConfigPath = `C:\ProgramData\wolkvox\agent\agent.yaml`
