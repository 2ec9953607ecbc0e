-- Forget recordings that a server owes, and note it for the database. ARGV: server id, internal ids. Reply: 1.
for i = 2, #ARGV do
  change_debts(ARGV[1], { [ARGV[i]] = 0 })
  call('SADD', A .. 'usage_settled', cjson.encode({ ARGV[1], ARGV[i] }))
end
return 1
