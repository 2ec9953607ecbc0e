-- ARGV: server id, keep_ms. A call to it failed between two polls: new meetings go elsewhere until
-- a poll has decided, or keep_ms are over. Only polls count towards offline: a front-end's calls
-- at a server that restarts for a second must not detach its meetings. Reply: 1, 0 if known.
if call('EXISTS', P .. 'server:' .. ARGV[1]) == 0 then return 0 end
return call('SET', A .. 'suspect:' .. ARGV[1], '1', 'NX', 'PX', ARGV[2]) and 1 or 0
