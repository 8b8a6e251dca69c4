# Deblur a folder of photos on a Ray cluster, whose machines have gradprox[ray] and see the same folders.
ray start --head --port 6379      # on the first machine, node1
ray start --address node1:6379    # on each further one
gradprox deblur photos --kernel motion:15:45 -o sharp --resume --ray auto  # on any of them
