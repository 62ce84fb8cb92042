-- A lease is DHCP's; what a tenant has is a rental.
ALTER TABLE told_lease_ends RENAME TO told_rental_ends;
