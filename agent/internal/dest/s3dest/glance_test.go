package s3dest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
)

// TestGlance compares what is said to be absent with what is there, for stores that list in order and for one that does not.
func TestGlance(t *testing.T) {
	t.Parallel()
	name := func(i int) string { return fmt.Sprintf("2026-11-22/ñ-%04d.gsm", i) }
	var asked []string // every third of them is there
	for i := range 300 {
		asked = append(asked, name(i))
	}
	slices.Reverse(asked) // nobody promises an order
	present := func(i int) bool { return i%3 == 0 }
	for _, test := range []struct {
		title    string
		page     int      // keys in an answer
		others   int      // keys among those that are asked for, of which nobody asked
		reversed bool     // the keys come in no order
		asked    []string // of which is asked
		absent   int
		lists    int64 // requests for it
	}{
		{"one page", 1000, 0, false, asked, 200, 1},
		{"some pages", 40, 0, false, asked, 200, 3},
		{"too many pages", 10, 0, false, asked, 78, 4},
		{"many others", 40, 1000, false, asked, 1, 4},
		{"no order", 1000, 0, true, asked, 0, 1},
		{"few names", 1000, 0, false, asked[:31], 0, 0},
	} {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			keys := []string{"p/2026-11-21/earlier.gsm", "p/2026-11-23/later.gsm"}
			for i := range 300 {
				if present(i) {
					keys = append(keys, "p/"+name(i))
				}
			}
			for i := range test.others {
				keys = append(keys, fmt.Sprintf("p/2026-11-22/ñ-0001.gsm.%d", i))
			}
			slices.Sort(keys)
			if test.reversed {
				slices.Reverse(keys)
			}
			var lists atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := r.URL.Query(); q.Has("prefix") && !strings.Contains(q.Get("prefix"), ".wolkvox") {
					lists.Add(1)
					answerList(w, q.Get("prefix"), max(q.Get("start-after"), q.Get("continuation-token")), keys, test.page, test.reversed)
					return
				}
				fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
			}))
			defer server.Close()
			driver, err := s3dest.New(s3dest.Options{
				Bucket: "b", Prefix: "p", Region: "eu-central-1", Endpoint: server.URL, PathStyle: true,
				Keys: func() (string, error) { return "AKIAEXAMPLE\nsecret", nil },
			}).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer driver.Close()
			absent, err := driver.(dest.Glancer).Glance(t.Context(), test.asked)
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for i := range absent {
				if !absent[i] {
					continue
				}
				count++
				if slices.Contains(keys, "p/"+test.asked[i]) {
					t.Errorf("%s is there, and is said to be absent", test.asked[i])
				}
			}
			if lists.Load() != test.lists || count != test.absent {
				t.Errorf("%d of %d are said to be absent, after %d lists; wanted are %d after %d", count, len(absent), lists.Load(), test.absent, test.lists)
			}
		})
	}
}

// answerList answers as ListObjectsV2 does: keys with a prefix after one, as many as make a page.
func answerList(w http.ResponseWriter, prefix, after string, keys []string, page int, unordered bool) {
	fmt.Fprint(w, "<ListBucketResult>")
	last, count := "", 0
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) || !unordered && key <= after {
			continue
		}
		if count == page {
			fmt.Fprintf(w, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", last)
			break
		}
		fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>1</Size></Contents>", key)
		last, count = key, count+1
	}
	fmt.Fprint(w, "</ListBucketResult>")
}
