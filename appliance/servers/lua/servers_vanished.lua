-- Whether there are no servers although no operator removed the last one or accepted that (`emptied`).
-- ARGV: none. Reply: 1 or 0.
if call('SCARD', P .. 'servers') > 0 or call('EXISTS', A .. 'emptied') == 1 then return 0 end
return 1
