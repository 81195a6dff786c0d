package s3dest

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// glanceNames is from how many names on they are looked for in lists: fewer are asked for one by one.
	glanceNames = 32
	// glancePage is how many of the names a page of a list, which has up to 1,000 keys, has to be worth.
	glancePage = 100
)

// Glance implements dest.Glancer by listing the keys between the first name and the last. It says nothing of those that it
// would need too many pages for, nor where the keys come in no order.
func (h *handle) Glance(ctx context.Context, names []string) ([]bool, error) {
	absent := make([]bool, len(names))
	if len(names) < glanceNames {
		return absent, nil
	}
	sorted := slices.Sorted(slices.Values(names))
	there, until, err := h.listed(ctx, h.key(sorted[0]), h.key(sorted[len(sorted)-1]), len(names)/glancePage+1)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		key := h.key(name)
		absent[i] = key <= until && !there[key]
	}
	return absent, nil
}

// listed returns the keys from first on, from at most so many pages, and until which key, last at most, it knows of all.
func (h *handle) listed(ctx context.Context, first, last string, pages int) (there map[string]bool, until string, err error) {
	there = make(map[string]bool)
	list := s3.NewListObjectsV2Paginator(h.client, &s3.ListObjectsV2Input{
		Bucket: h.bucket(), ExpectedBucketOwner: h.owner(), Prefix: optional(commonPrefix(first, last)), StartAfter: optional(before(first)),
	})
	for ; pages > 0 && list.HasMorePages(); pages-- {
		page, err := list.NextPage(ctx)
		if err != nil {
			return nil, "", h.s3.explain(ctx, "list the bucket", err)
		}
		for _, object := range page.Contents {
			key := aws.ToString(object.Key)
			if key <= until {
				return nil, "", nil // in no order
			}
			there[key], until = true, key
		}
		if until >= last {
			return there, last, nil
		}
	}
	if !list.HasMorePages() {
		until = last
	}
	return there, until, nil
}

// commonPrefix returns what both keys begin with.
func commonPrefix(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return a[:n]
}

// before returns a key that is lower than this one, for a list to begin after.
func before(key string) string {
	_, size := utf8.DecodeLastRuneInString(key)
	return key[:len(key)-size]
}
