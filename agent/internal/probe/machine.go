package probe

import (
	"context"
	"errors"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/enroll"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

const (
	// ClockTolerance is by how much this machine's clock may differ from the server's before it is named: more than an
	// answer can take on its way.
	ClockTolerance = 2 * time.Minute
	// certificateWarning is how long before its end a certificate has long been renewed.
	certificateWarning = 14 * 24 * time.Hour
)

// machine looks at the agent's own side. server is why wolkvox's server did not answer, nil where it did.
func (c *check) machine(server error) {
	p := c.probe
	if err := p.StateRoom(); err != nil {
		c.add(backup.CheckLine{Subject: SubjectState, Verdict: backup.CheckBad, Message: err.Error(), Class: fault.ClassLocal, Party: fault.PartyClient, Code: "STATE_ROOM"})
	} else {
		c.good(SubjectState, "the volume of the agent's own state has its reserve")
	}
	c.server(server)
	c.certificate(p.CertificateEnd(), p.Now())
	c.clock()
}

func (c *check) server(err error) {
	line := backup.CheckLine{Subject: SubjectServer, Verdict: backup.CheckBad, Party: fault.PartyNetwork, Class: fault.ClassNetwork, Code: "UNREACHABLE"}
	switch _, intercepted := errors.AsType[*uplink.InterceptedError](err); {
	case err == nil:
		c.good(SubjectServer, "wolkvox answers at %s, and nobody is in between", c.probe.ServerAddress)
		return
	case intercepted:
		line.Party, line.Code, line.Message = fault.PartyClient, "TLS_INTERCEPTED", err.Error()
	case enroll.IsRefused(err):
		line.Class, line.Party, line.Code = fault.ClassCredential, fault.PartyClient, "REFUSED"
		line.Message = c.say("wolkvox refuses this agent (%v): ask wolkvox for a join string, and run `wolkvox-agent enroll` with it", err)
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded):
		line.Message = c.say("wolkvox at %s has not answered for %v: check the name, the port, the firewall and the proxy", c.probe.ServerAddress, c.probe.Patience)
	case errors.Is(err, uplink.ErrUnreachable):
		line.Message = err.Error()
	default:
		line.Party, line.Code = fault.PartyWolkvox, "SERVER"
		line.Message = c.say("wolkvox at %s gives no answer that helps (%v): it is tried again; call wolkvox if this stays", c.probe.ServerAddress, err)
	}
	c.add(line)
}

func (c *check) certificate(end, now time.Time) {
	left := end.Sub(now)
	line := backup.CheckLine{Subject: SubjectCertificate, Verdict: backup.CheckBad, Class: fault.ClassCredential, Party: fault.PartyClient, Code: "CERTIFICATE_EXPIRED"}
	switch {
	case left <= 0:
		line.Message = c.say("the agent's certificate ended on %s: keep the server reachable, which may still renew it; if this stays, "+
			"ask wolkvox for a join string, and run `wolkvox-agent enroll` with it", end.UTC().Format(time.RFC3339))
	case left < certificateWarning:
		why := c.say("no renewal was tried yet")
		if err := c.probe.Renewal(); err != nil {
			why = err.Error()
		}
		line.Verdict, line.Code = backup.CheckWarning, "CERTIFICATE_ENDS"
		line.Message = c.say("the agent's certificate ends in %s and was not renewed (%s): keep the server reachable, and call wolkvox if this stays", c.span(left), why)
	default:
		c.good(SubjectCertificate, "the agent's certificate lasts for another %s, and renews itself", c.span(left))
		return
	}
	c.add(line)
}

func (c *check) clock() {
	offset, known := c.probe.ClockOffset()
	switch {
	case !known:
		c.unknown(SubjectClock, "not compared before the server is heard")
	case offset.Abs() < ClockTolerance:
		c.good(SubjectClock, "it differs from wolkvox's by %v", offset.Abs().Round(time.Second))
	default:
		c.add(backup.CheckLine{Subject: SubjectClock, Verdict: backup.CheckWarning, Message: ClockText(c.probe.Faults.Language, offset), Class: fault.ClassClock, Party: fault.PartyClient, Code: "CLOCK_OFFSET"})
	}
}

// ClockText says by how much this machine's clock is wrong, and what to do.
func ClockText(language fault.Language, offset time.Duration) string {
	by := span(language, offset.Abs())
	if offset < 0 {
		return say(language, "this machine's clock is %s behind wolkvox's: correct it; nothing is decided by it, and recordings are copied and signed for all the same", by)
	}
	return say(language, "this machine's clock is %s ahead of wolkvox's: correct it; nothing is decided by it, and recordings are copied and signed for all the same", by)
}

func (c *check) span(d time.Duration) string { return span(c.probe.Faults.Language, d) }

func span(language fault.Language, d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return say(language, "%d days", d.Round(24*time.Hour)/(24*time.Hour))
	case d >= 2*time.Hour:
		return say(language, "%d hours", d.Round(time.Hour)/time.Hour)
	}
	return say(language, "%d minutes", d.Round(time.Minute)/time.Minute)
}
