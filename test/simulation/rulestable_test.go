//go:build peers

package simulation

// rules are those that the simulation shows; docs/decisions/0010-simulation.md says which others there are, and why not.
var rules = []rule{
	{
		name: "later sessions supersede earlier ones", file: "server/internal/sequencer/session.go",
		old:      "\tif current := s.log.CurrentSession(); number < current {",
		new:      "\tif current := s.log.CurrentSession(); number < current && current < 0 {",
		shows:    "two processes of one agent live on",
		schedule: "record:1 tick:6 clone:1 tick:6 record:1 tick:7",
	},
	{
		name: "a session supersedes from its first use on", file: "server/internal/sequencer/session.go",
		old:      "\treturn number, s.Superseded(number)\n",
		new:      "\treturn number, s.CheckSession(number)\n",
		shows:    "superseded although there is only one machine",
		schedule: "copy-server:482 tick:492 copy:168 mishap:333 back-server:727 tick:530 back:606 tick:632",
	},
	{
		name: "heads are compared with their roots", file: "server/internal/sequencer/compare.go",
		old:      "err == nil && ours != root {",
		new:      "err == nil && ours != root && size < 0 {",
		shows:    "no agreement",
		schedule: "record:1 tick:6 copy-server:0 record:1 tick:6 offline:0 back-server:1 record:1 record:1 record:2 tick:6 offline:1 tick:7",
	},
	{
		name: "the server compares before it says anything", file: "server/internal/sequencer/compare.go",
		old:      "\tif err := s.contains(c.Size, c.Root); err != nil {\n\t\treturn false, err\n\t}\n\treturn s.afterContained",
		new:      "\treturn s.afterContained",
		shows:    "no agreement: the log recovers",
		schedule: "record:1 tick:6 copy-server:0 record:1 tick:6 back-server:1 tick:7",
	},
	{
		name: "what nobody held is cut off and kept", file: "server/internal/sequencer/offer.go",
		old:      "\tif size > o.low && rec.HeldSize > o.low {\n",
		new:      "\tif size > o.low {\n",
		shows:    "the alarm FORK stands without a cause",
		schedule: "record:1 tick:6 copy-server:0 record:1 tick:6 offline:0 back-server:1 record:1 record:1 record:2 tick:6 offline:1 tick:7",
	},
	{
		name: "the head kept at the destination is compared too", file: "server/internal/sequencer/compare.go",
		old:      "\tkeptLost, err := s.keptLost(ctx, c.Kept)\n\tif err != nil {\n\t\treturn false, err\n\t}\n\tif err := s.contains(c.Size",
		new:      "\tkeptLost, err := false, error(nil)\n\tif err != nil {\n\t\treturn false, err\n\t}\n\tif err := s.contains(c.Size",
		shows:    "no agreement",
		schedule: "record:1 tick:6 copy-server:0 record:1 tick:6 back-server:1 delete:1 tick:7",
	},
	{
		name: "recovering ends when the kept head is known", file: "server/internal/sequencer/recovering.go",
		old:      "\tcase !canTell:\n\t\treturn true, nil\n",
		new:      "\tcase !canTell && size == 0:\n\t\treturn true, nil\n",
		shows:    "cut back",
		schedule: "record:1 tick:6 copy-server:0 record:1 tick:6 copy:1 back-server:7 mount:1 delete:1 tick:7 record:1 record:2 record:1 tick:8 wake:1 tick:7 back:1 mount:2 tick:7",
	},
	{
		name: "the mark beside the marker", file: "agent/internal/night/marks.go",
		old:      "\tlast, any, err := n.lastDelivered()\n\tif err != nil {\n\t\treturn err\n\t}\n\tmark, err :=",
		new:      "\tif n.Log != nil {\n\t\treturn nil\n\t}\n\tlast, any, err := n.lastDelivered()\n\tif err != nil {\n\t\treturn err\n\t}\n\tmark, err :=",
		shows:    "confirmed but not at the destination",
		schedule: "record:1 tick:6 record:1 tick:6 copy-place:1 copy:1 record:2 tick:6 back-place:1 back:1 tick:6",
	},
	{
		name: "marks are renewed when the losses are in the log", file: "agent/internal/night/audit.go",
		old:      "\tif err := n.send(ctx); err != nil {\n\t\treturn err\n\t}\n",
		new:      "",
		shows:    "confirmed but not at the destination",
		schedule: "record:1 tick:6 copy-place:0 record:2 tick:6 copy:1 mute:15 back-place:0 wake:1 tick:6 wake:1 tick:6 back:1 tick:6",
	},
	{
		name: "what waits in the outbox is audited too", file: "agent/internal/night/audit.go",
		old:      "held := confirmed.Union(n.Log.OutboxDelivered(manifest))",
		new:      "held := confirmed",
		shows:    "confirmed but not at the destination",
		schedule: "copy-place:0 mute:15 record:1 tick:6 back-place:0 wake:1 tick:6 wake:1 tick:6",
	},
	{
		name: "what was closed is looked for again", file: "agent/internal/night/pass.go",
		old:      "\t\t\tn.closed[body.Manifest] = true\n",
		new:      "",
		shows:    "at the destination with the right contents, yet expired",
		schedule: "record:1 kill:30 offline:0 long:1 offline:1 tick:8",
	},
	{
		name: "heard means an echo past the deadline", file: "server/internal/heartbeatrpc/heartbeatrpc.go",
		old:      "seq.Heard(role.Name, report.SessionNumber, report.EchoedTime, at)",
		new:      "seq.Heard(role.Name, report.SessionNumber, at, at)",
		shows:    "a manifest was closed because the agent was heard",
		schedule: "record:1 mount:1 tick:9 tick:7 tick:7 tick:6 tick:6 tick:5 mute:15 mishap:123 tick:6 mount:2 wake:1 tick:4 tick:7 tick:7",
	},
	{
		name: "withdrawing is one transaction", file: "server/internal/sequencer/seal.go",
		old:      "\treturn body.Indexes, s.append(ctx, at, body, m.sealed())\n",
		new:      "\tif err := s.append(ctx, at, body); err != nil {\n\t\treturn ledger.Set{}, err\n\t}\n\treturn body.Indexes, s.append(ctx, at, m.sealed())\n",
		shows:    "no agreement",
		schedule: "record:1 mount:1 tick:2 kill-server:10 change:0 lose:0 tick:7",
	},
}
