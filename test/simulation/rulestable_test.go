//go:build peers

package simulation

// rules are those of the table in docs/decisions that this product has.
var rules = []rule{
	{"sessions", "server/internal/sequencer/session.go",
		"if current := s.log.CurrentSession(); number != current {",
		"if current := s.log.CurrentSession(); number != current && current < 0 {", "", ""},
	{"catch up first", "agent/internal/uplink/session.go", "		case synced:\n", "		case synced || true:\n", "", ""},
	{"marks beside the marker", "agent/internal/night/marks.go", "	last, any, err := n.lastDelivered()\n	if err != nil {\n		return err\n	}\n	mark, err :=",
		"	if true {\n		return nil\n	}\n	last, any, err := n.lastDelivered()\n	if err != nil {\n		return err\n	}\n	mark, err :=", "confirmed but not at the destination", ""},
	{"lost is in the log first", "agent/internal/night/audit.go", "	if err := n.deliver(ctx); err != nil {\n		return err\n	}\n	return n.renewMarks",
		"	return n.renewMarks", "", ""},
	{"what waits is audited too", "agent/internal/night/audit.go", "held := confirmed.Union(n.Log.OutboxDelivered(manifest))", "held := confirmed", "", ""},
	{"look again after closing", "agent/internal/night/pass.go", "			n.closed[manifest] = true\n", "", "yet expired", ""},
	{"heard with an echo", "server/internal/heartbeatrpc/heartbeatrpc.go", "seq.Heard(report.EchoedTime)", "seq.Heard(time.Now())", "a manifest was closed because", ""},
	{"gap", "server/internal/sequencer/receipt.go", "		return Gap, nil\n", "		return Fork, nil\n", "", ""},
	{"a receipt counts when the own log has it", "agent/internal/uplink/receipts.go", "	return verdicts, nil\n}", "	for i := range verdicts {\n		if verdicts[i] == VerdictOK {\n			_ = s.log.DropReceipts(receipts[i])\n		}\n	}\n	return verdicts, nil\n}", "", ""},
	{"keep lost after a fork", "agent/internal/night/receipts.go", "return e.Body.Kind() != ledger.KindDelivered })", "return false })", "", ""},
	{"sign again after a fork", "agent/internal/night/receipts.go", "	if err := n.renew(func(leaf []byte, e ledger.Entry) bool { return e.Body.Kind() != ledger.KindDelivered }); err != nil {\n		return fmt.Errorf(\"sign again after a fork: %w\", err)\n	}\n", "", "", ""},
	{"withdrawing is one transaction", "server/internal/sequencer/seal.go", "	return body.Indexes, s.append(ctx, at, body, m.sealed())\n", "	if err := s.append(ctx, at, body); err != nil {\n		return ledger.Set{}, err\n	}\n	return body.Indexes, s.append(ctx, at, m.sealed())\n", "", ""},
	{"the mark before the outbox", "internal/store/prepared.go", "	if err := announce(w.leaf); err != nil {\n		return nil, fmt.Errorf(\"announce receipt %d: %w\", w.receipt.Number, err)\n	}\n	return w.leaf, l.enqueuePrepared(w)\n", "	if err := l.enqueuePrepared(w); err != nil {\n		return nil, err\n	}\n	return w.leaf, announce(w.leaf)\n", "", ""},
	{"only the one assigned", "agent/internal/night/night.go", "	case assigned != n.Key.Verifier():\n", "	case assigned != n.Key.Verifier() && assigned == \"\":\n", "", ""},
	{"one handle", "agent/internal/dest/batch.go", "", "", "", ""},
	{"the head at the destination first", "agent/internal/night/agree.go", "	if err := place.WriteOwn(ctx, dest.Head, agreed); err != nil {\n		return err\n	}\n	return n.Log.PutAgreed(agreed)\n", "	if err := n.Log.PutAgreed(agreed); err != nil {\n		return err\n	}\n	return place.WriteOwn(ctx, dest.Head, agreed)\n", "", ""},
}
